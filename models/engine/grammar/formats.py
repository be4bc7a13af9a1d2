"""Formats of JSON schema's strings that a grammar can keep: what stands between the quotes. Pure.

Other formats are remarks, as the standard has it. Dates are real ones: no 30 February, and a 29th in leap years alone.
"""

from __future__ import annotations

_FOURTH = '("0" [48] | [2468] [048] | [13579] [26])'
_YEAR = "([0-9]{3} [1-9] | [0-9]{2} [1-9] [0-9] | [0-9] [1-9] [0-9]{2} | [1-9] [0-9]{3})"
_DAY = '("0" [1-9] | "1" [0-9] | "2" [0-8])'
_DATE = (
    f'({_YEAR} "-" (("0" [13578] | "1" [02]) "-" ({_DAY} | "29" | "3" [01]) | ("0" [469] | "11") "-" ({_DAY} | "29" | "30") | "02-" {_DAY})'
    f' | ([0-9]{{2}} {_FOURTH} | ([2468] [048] | [13579] [26] | "0" [48]) "00") "-02-29")'
)
_HOUR = '([01] [0-9] | "2" [0-3])'
_TIME = f'{_HOUR} ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{{1,6}})? ("Z" | [-+] {_HOUR} ":" [0-5] [0-9])'
_BYTE = '("25" [0-5] | "2" [0-4] [0-9] | "1" [0-9] [0-9] | [1-9]? [0-9])'
_HEX = "[0-9a-f]"
_LABEL = "[a-z0-9] ([a-z0-9-]{0,30} [a-z0-9])?"
_COUNT = "[0-9]{1,4}"

FORMATS: dict[str, str] = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f'{_DATE} "T" {_TIME}',
    "uuid": f'{_HEX}{{8}} "-" {_HEX}{{4}} "-" {_HEX}{{4}} "-" {_HEX}{{4}} "-" {_HEX}{{12}}',
    "ipv4": f'{_BYTE} "." {_BYTE} "." {_BYTE} "." {_BYTE}',
    "ipv6": f'{_HEX}{{1,4}} (":" {_HEX}{{1,4}}){{7}}',
    "hostname": f'{_LABEL} ("." {_LABEL}){{0,4}}',
    "email": f'[a-zA-Z0-9_+-]{{1,40}} ("." [a-zA-Z0-9_+-]{{1,20}}){{0,3}} "@" {_LABEL} ("." {_LABEL}){{0,3}} "." [a-z]{{2,12}}',
    "uri": '("http" "s"? | "ftp" | "file" | "urn" | "mailto") ":" [a-zA-Z0-9_.~:/?#@!$&\'()*+,;=%-]{1,500}',
    "duration": f'"P" ({_COUNT} [WD] | "T" ({_COUNT} "H" ({_COUNT} "M")? | {_COUNT} [MS]) | {_COUNT} "Y" ({_COUNT} "M")?)',
}
