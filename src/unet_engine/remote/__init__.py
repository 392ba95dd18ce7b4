"""A device that is other processes: tiles are predicted and models trained there.

The engine below is dask.distributed: a scheduler that listens at one address, and
workers that compute. Both ends encrypt and prove by TLS that they have the same token,
before a byte is interpreted (``credentials``). What workers run is in
``unet_engine.worker``, which is named here and imported there (``calls``); ``dispatch``
keeps them busy with many calls. What is large goes there once, by its hash (``blobs``).

Begin with ``connection``.
"""
