"""What runs on a worker: a scheduler that listens, and processes that compute for it.

Orders of ``unet_engine.remote`` → tiles predicted and models trained, on the device of
the worker. ``serving`` starts the processes; the functions of the other modules are
called by name from the other end, and keep what a run needs from one call to the next.
"""
