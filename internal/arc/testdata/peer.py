# Verifies or seals with dkimpy. Standard input is JSON:
#   {"keys": {name: record}, "verify": [message, …]}                    → ["pass", "fail", …]
#   {"keys": …, "sign": [{"message", "domain", "key"}, …]}              → [message with one more set, …]
# Messages are text with CRLF, one character for each octet.
import json, sys
import dkim

job = json.load(sys.stdin)

def txt(name, timeout=5):
    return job["keys"].get(name.decode().rstrip("."), "").encode() or None

def verify(message):
    try:
        cv, _, _ = dkim.ARC(message.encode("latin-1")).verify(dnsfunc=txt)
    except Exception:  # it stumbles over what is not base64
        return "fail"
    return "fail" if cv is None else cv.decode()  # None: the chain was declared failed

def sign(job):
    message = job["message"].encode("latin-1")
    fields = dkim.ARC(message).sign(b"r", job["domain"].encode(), job["key"].encode(), ("mx." + job["domain"]).encode())
    return (b"".join(fields) + message).decode("latin-1")

json.dump([verify(m) for m in job.get("verify", [])] + [sign(s) for s in job.get("sign", [])], sys.stdout)
