"""Sets an account up as Thunderbird does: from the address alone it asks autoconfig.DOMAIN,
reads the XML, and logs in at each server that it names, as it says. Prints what goes wrong."""

import imaplib
import poplib
import smtplib
import socket
import ssl
import sys
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET

ca, port, address, password = sys.argv[1:]
domain = address.rpartition("@")[2]
tls = ssl.create_default_context(cafile=ca)

# The names of the domain lead to this machine.
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: resolve("127.0.0.1" if str(host).endswith("." + domain) else host, *rest, **more)

url = "https://autoconfig.%s:%s/mail/config-v1.1.xml?%s" % (domain, port, urllib.parse.urlencode({"emailaddress": address}))
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))
with opener.open(url, timeout=30) as answer:
    root = ET.fromstring(answer.read())

provider = root.find("emailProvider")
if provider.findtext("domain") != domain:
    print("another domain:", provider.findtext("domain"))


def imap(host, port, implicit):
    if implicit:
        return imaplib.IMAP4_SSL(host, port, ssl_context=tls)
    c = imaplib.IMAP4(host, port)
    c.starttls(ssl_context=tls)
    return c


def smtp(host, port, implicit):
    if implicit:
        return smtplib.SMTP_SSL(host, port, context=tls)
    c = smtplib.SMTP(host, port)
    c.starttls(context=tls)
    return c


def pop(host, port, implicit):
    if implicit:
        return poplib.POP3_SSL(host, port, context=tls)
    c = poplib.POP3(host, port)
    c.stls(context=tls)
    return c


seen = []
for server in provider.findall("incomingServer") + provider.findall("outgoingServer"):
    kind, socket_type = server.get("type"), server.findtext("socketType")
    host, number = server.findtext("hostname"), int(server.findtext("port"))
    user = server.findtext("username").replace("%EMAILADDRESS%", address)
    if server.findtext("authentication") != "password-cleartext":
        print(kind, "wants", server.findtext("authentication"))
    if socket_type not in ("SSL", "STARTTLS"):
        print(kind, "without TLS")
        continue
    c = {"imap": imap, "pop3": pop, "smtp": smtp}[kind](host, number, socket_type == "SSL")
    if kind == "pop3":
        c.user(user)
        c.pass_(password)
        c.quit()
    elif kind == "smtp":
        c.login(user, password)
        c.quit()
    else:
        c.login(user, password)
        c.logout()
    seen.append(kind + " " + socket_type)

want = ["imap SSL", "imap STARTTLS", "pop3 SSL", "pop3 STARTTLS", "smtp SSL", "smtp STARTTLS"]
if seen != want:
    print("servers:", seen)
