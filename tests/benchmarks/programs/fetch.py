"""Fetches a URL by many clients at once, and holds what each got to its SHA-256.

Usage: python fetch.py URL SHA256 CLIENTS

Prints as JSON the seconds until all were done, and how many got something else, or an error.
"""

import concurrent.futures
import hashlib
import json
import sys
import time
import urllib.request

url, sha256, clients = sys.argv[1], sys.argv[2], int(sys.argv[3])


def fetch(_) -> bool:
    """Return whether all went well."""
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=300) as answer:
            while chunk := answer.read(1 << 16):
                digest.update(chunk)
    except OSError:
        return False
    return digest.hexdigest() == sha256


started = time.perf_counter()
with concurrent.futures.ThreadPoolExecutor(clients) as executor:
    good = sum(executor.map(fetch, range(clients)))
print(json.dumps({"seconds": time.perf_counter() - started, "failed": clients - good}))
