"""Damaged and forged files, and rubbish at the port of a worker, made from seeds.

`damage` changes bytes, JSON and YAML, `archives` forges zip files, `files` has the
model files and packages that are tried, `port` what is sent to a worker, `watched` the
processes that are bounded. `fuzz.py` goes on for minutes; the tests try some of each
kind.
"""
