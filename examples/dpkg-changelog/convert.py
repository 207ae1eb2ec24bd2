#!/usr/bin/env python3
"""Converts a Debian changelog to JSON lines: one object for each signed entry, in the order of the file.

    convert.py CHANGELOG[.gz] > entries.jsonl

Entries without a signature carry no date: they are left out and named on stderr. So is what precedes the first
entry of 1995, which is in another form (a GNU ChangeLog).
"""

import gzip
import json
import re
import sys

HEAD = re.compile(r"^(?P<package>[a-z0-9][a-z0-9+.-]*) \((?P<version>[^)]+)\)(?P<dists>[^;]*);(?P<keys>.*)$", re.I)
SIGNED = re.compile(r"^ ?-- ?(?P<author>.*?) <(?P<mail>[^>]*)>\s*(?P<date>\S.*)$")
DATE = re.compile(r"^(?:(?P<day>[A-Z][a-z]{2}),? +)?(?P<rest>\d{1,2} [A-Z][a-z]{2} \d{4} \d{1,2}:\d{2}:\d{2} [+-]\d{4})")
UTF8 = "utf-8"


def date(text):
    """The date in RFC 2822 form, without the name of the day: some old entries name the wrong one."""
    found = DATE.match(text)
    if not found:
        return None
    day, month, year, clock, zone = found["rest"].split()
    return f"{int(day)} {month} {year} {clock:0>8} {zone}"


def entries(lines):
    """Yields (line number, entry or None): None for an entry without a signature, or with one that has no date."""
    head, text, start = None, [], 0
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\n")
        found = HEAD.match(line)
        if found:
            if head:
                yield start, None
            head, text, start = found, [], number
            continue
        signed = SIGNED.match(line) if head else None
        if not signed:
            text.append(line)
            continue
        when = date(signed["date"].strip())
        keys = dict(part.split("=", 1) for part in re.split(r"[,\s]+", head["keys"].strip()) if "=" in part)
        body = "\n".join(text).strip("\n")
        yield start, when and {
            "author": " ".join(signed["author"].split()) or "unknown",
            "date": when,
            "version": head["version"],
            "distribution": head["dists"].strip() or None,
            "urgency": next((value for key, value in keys.items() if key.lower() == "urgency"), None),
            "text": body,
        }
        head = None
    if head:
        yield start, None


def main():
    path = sys.argv[1]
    opener = gzip.open if path.endswith(".gz") else open
    kept = dropped = 0
    with opener(path, "rt", encoding=UTF8, errors="replace") as lines:
        for number, entry in entries(lines):
            if entry is None:
                print(f"{path}:{number}: no signature with a date, entry left out", file=sys.stderr)
                dropped += 1
                continue
            print(json.dumps(entry, ensure_ascii=False))
            kept += 1
    print(f"{kept} entries, {dropped} left out", file=sys.stderr)


if __name__ == "__main__":
    main()
