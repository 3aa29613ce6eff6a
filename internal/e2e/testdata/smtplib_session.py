"""Mail as small programs send it: without Date, without Message-ID."""
import smtplib
import ssl
import sys
from email.message import EmailMessage

ca, mx, submission, submissions, lmtp, ana, luis, password = sys.argv[1:]
trust = ssl.create_default_context(cafile=ca)

# The example that everybody copies: no Date, no Message-ID, LF.
with smtplib.SMTP("127.0.0.1", int(mx)) as s:
    s.sendmail("aviso@pc.local", [ana], "Subject: aviso\n\nel disco se llena\n")

# No header at all.
with smtplib.SMTP("localhost", int(mx), local_hostname="PC-SECRETARIA") as s:
    s.sendmail("root@localhost", ana, "nada mas que texto")

with smtplib.SMTP("127.0.0.1", int(submission)) as s:
    s.starttls(context=trust)
    s.login(luis, password)
    refused = s.sendmail(luis, [ana, "nadie@empresa.test"], "From: %s\nTo: %s\nSubject: por STARTTLS\n\n.\n..\n" % (luis, ana))
    assert list(refused) == ["nadie@empresa.test"] and refused["nadie@empresa.test"][0] == 550, refused
    try:
        s.sendmail(ana, [ana], "Subject: no es suya\n\nno\n")
        raise AssertionError("sent from another's address")
    except smtplib.SMTPSenderRefused as e:
        assert e.smtp_code == 553, e
    s.sendmail(luis, [ana], "Subject: otra vez\n\nen la misma sesion\n")

with smtplib.SMTP_SSL("127.0.0.1", int(submissions), context=trust) as s:
    s.login(luis, password)
    m = EmailMessage()
    m["From"], m["To"], m["Subject"] = luis, ana, "año nuevo"
    m.set_content("ocho bits: ñ\n", cte="8bit")
    s.send_message(m)

with smtplib.SMTP("127.0.0.1", int(submission)) as s:
    s.starttls(context=trust)
    try:
        s.login(luis, "no es esta")
        raise AssertionError("a wrong password was taken")
    except smtplib.SMTPAuthenticationError as e:
        assert e.smtp_code == 535, e

with smtplib.LMTP("127.0.0.1", int(lmtp)) as s:
    s.sendmail("bea@fuera.test", [ana], "From: bea@fuera.test\r\nSubject: por LMTP\r\n\r\nhola\r\n")
