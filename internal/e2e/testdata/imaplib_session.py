"""A day in a mailbox with imaplib."""
import imaplib
import ssl
import sys
import time

ca, imap, imaps, ana, password = sys.argv[1:]
trust = ssl.create_default_context(cafile=ca)


def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


c = imaplib.IMAP4("127.0.0.1", int(imap))
assert "LOGINDISABLED" in c.capabilities, c.capabilities
ok(c.starttls(ssl_context=trust))
ok(c.login(ana, password))
capabilities = ok(c.capability())[0].split()
for name in (b"UIDPLUS", b"MOVE", b"IDLE", b"ENABLE"):
    assert name in capabilities, (name, capabilities)

ok(c.create("Proyectos"))
ok(c.create("Proyectos/2026"))
ok(c.subscribe("Proyectos/2026"))
ok(c.create('"Con espacio"'))
ok(c.rename('"Con espacio"', "Renombrada"))
names = b"\n".join(ok(c.list()))
for name in (b"INBOX", b"Proyectos", b"Proyectos/2026", b"Renombrada"):
    assert name in names, names
assert b"Con espacio" not in names, names

when = imaplib.Time2Internaldate(time.mktime((2026, 2, 3, 4, 5, 6, 0, 0, 0)))
for i in (1, 2, 3):
    text = b"From: bea@fuera.test\r\nSubject: archivo %d\r\n\r\ncuerpo %d\r\n" % (i, i)
    answer = ok(c.append("Proyectos/2026", r"(\Seen)" if i == 1 else None, when, text))
    assert b"APPENDUID" in answer[0], answer
ok(c.append("Proyectos/2026", None, None, "Subject: ocho\r\n\r\nñ\r\n".encode()))

assert ok(c.select("Proyectos/2026")) == [b"4"]
assert ok(c.search(None, "UNSEEN")) == [b"2 3 4"]
assert ok(c.search(None, "SUBJECT", '"archivo 2"')) == [b"2"]
assert ok(c.search(None, "BODY", "cuerpo", "NOT", "SEEN")) == [b"2 3"]
assert ok(c.uid("SEARCH", "SINCE", "1-Feb-2026", "BEFORE", "5-Feb-2026")) == [b"1 2 3"]
got = ok(c.fetch("2", "(RFC822.SIZE INTERNALDATE BODY[])"))
assert got[0][1] == b"From: bea@fuera.test\r\nSubject: archivo 2\r\n\r\ncuerpo 2\r\n", got
assert imaplib.Internaldate2tuple(got[0][0])[:3] == (2026, 2, 3), got
assert ok(c.search(None, "UNSEEN")) == [b"3 4"]  # BODY[] sets \Seen

ok(c.store("3", "+FLAGS", r"(\Flagged $Trabajo)"))
ok(c.store("1", "-FLAGS.SILENT", r"(\Seen)"))
ok(c.copy("2:3", "Proyectos"))
ok(c.uid("MOVE", "3", "Renombrada"))
assert c.response("EXPUNGE")[1] == [b"3"]
assert ok(c.search(None, "ALL")) == [b"1 2 3"]
ok(c.store("1", "+FLAGS", r"(\Deleted)"))
assert ok(c.expunge()) == [b"1"]
assert ok(c.uid("SEARCH", "ALL")) == [b"2 4"]
ok(c.close())

# IDLE tells of what another session does (imaplib knows it from 3.14 on only).
other = imaplib.IMAP4_SSL("127.0.0.1", int(imaps), ssl_context=trust)
ok(other.login(ana, password))
ok(c.select("Renombrada"))
c.send(b"A9 IDLE\r\n")
assert c.readline().startswith(b"+ ")
ok(other.append("Renombrada", None, None, b"Subject: llega\r\n\r\ndurante IDLE\r\n"))
assert c.readline().startswith(b"* 2 EXISTS")
c.send(b"DONE\r\n")
while not (line := c.readline()).startswith(b"A9 "):
    assert line.startswith(b"* "), line
assert line.startswith(b"A9 OK"), line
ok(c.status("Renombrada", "(MESSAGES UNSEEN UIDNEXT)"))
c.logout()

ok(other.select("INBOX", readonly=True))
assert other._simple_command("STORE", "1", "+FLAGS", r"(\Seen)")[0] == "NO"
status, why = other.delete("Proyectos")
assert status == "NO" and b"HASCHILDREN" in why[0], why
ok(other.create("Sobra"))
ok(other.delete("Sobra"))
other.logout()

bad = imaplib.IMAP4_SSL("127.0.0.1", int(imaps), ssl_context=trust)
try:
    bad.login(ana, "no es esta")
    raise AssertionError("a wrong password was taken")
except imaplib.IMAP4.error as e:
    assert "AUTHENTICATIONFAILED" in str(e), e
bad.shutdown()
