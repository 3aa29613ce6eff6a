"""INBOX with poplib: read, remove, change one's mind."""
import poplib
import ssl
import sys

ca, pop3, pop3s, ana, password = sys.argv[1:]
trust = ssl.create_default_context(cafile=ca)

c = poplib.POP3("127.0.0.1", int(pop3))
assert "STLS" in c.capa(), c.capa()
try:
    c.user(ana)
    c.pass_(password)
    raise AssertionError("a password was taken without TLS")
except poplib.error_proto as e:
    assert b"-ERR" in e.args[0], e
c.stls(context=trust)
c.user(ana)
c.pass_(password)
count, octets = c.stat()
assert count >= 3, count
sizes = [int(line.split()[1]) for line in c.list()[1]]
assert len(sizes) == count and sum(sizes) == octets, (sizes, octets)
ids = [line.split()[1] for line in c.uidl()[1]]
assert len(set(ids)) == count, ids
for i in range(1, count + 1):
    lines = c.retr(i)[1]
    assert sum(len(x) + 2 for x in lines) == sizes[i - 1], (i, lines)
    assert c.top(i, 0)[1][-1] == b"", c.top(i, 0)
c.dele(1)
c.rset()
c.dele(2)
c.quit()

c = poplib.POP3_SSL("127.0.0.1", int(pop3s), context=trust)
c.user(ana)
c.pass_(password)
assert c.stat()[0] == count - 1
assert [line.split()[1] for line in c.uidl()[1]] == ids[:1] + ids[2:], c.uidl()
c.dele(1)
c.close()  # without QUIT nothing is removed

c = poplib.POP3_SSL("127.0.0.1", int(pop3s), context=trust)
c.user(ana)
c.pass_(password)
assert c.stat()[0] == count - 1
c.quit()

c = poplib.POP3_SSL("127.0.0.1", int(pop3s), context=trust)
c.user(ana)
try:
    c.pass_("no es esta")
    raise AssertionError("a wrong password was taken")
except poplib.error_proto as e:
    assert b"[AUTH]" in e.args[0], e
c.close()
