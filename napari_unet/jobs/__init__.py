"""What runs in a thread, without access to layers or widgets.

A step describes a run as a frozen *order*, made from the widgets on the main thread.
The run is a generator that takes it, calls the engine, and yields events; `job.run`
drains the generator in a thread and delivers the events on the main thread. Start with
``job``, then ``prediction``.
"""
