"""Verifies DKIM signatures with dkimpy.

Reads JSON lines {"message": base64, "dns": {name: text}} and answers each with a JSON list: for every DKIM-Signature field,
top to bottom, [algorithm, whether it verifies].
"""

import base64
import json
import sys

import dkim


def verify(case):
    message = base64.b64decode(case["message"])
    records = {name + ".": text.encode() for name, text in case["dns"].items()}

    def look_up(name, timeout=5):
        return records.get(name.decode() if isinstance(name, bytes) else name)

    head = dkim.rfc822_parse(message)[0]
    count = sum(1 for name, _ in head if name.lower() == b"dkim-signature")
    results = []
    for index in range(count):
        verifier = dkim.DKIM(message)
        try:
            good = verifier.verify(idx=index, dnsfunc=look_up)
        except dkim.DKIMException as error:
            good = False
            print(error, file=sys.stderr)
        algorithm = verifier.signature_fields.get(b"a", b"").decode()
        results.append([algorithm, bool(good)])
    return results


for line in sys.stdin:
    print(json.dumps(verify(json.loads(line))), flush=True)
