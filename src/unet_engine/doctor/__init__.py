"""What works of an installation, what does not, and what to do about it.

`finding` is what is found, `report` goes through all of it and makes a text or JSON of
it. `libraries`, `folders`, `models` and `display` look without torch; `computing` has
devices and the self-test, `named_device` the device that it is done on; `separate` runs
these in a process of its own, because what is broken there may end a process.
"""
