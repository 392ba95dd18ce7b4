"""Models as packages of bioimage.io, for other programs and from them.

`export` writes a package: `network` is what is exported, `tensors` the example that
every program can compare itself with, `weights` the files of the network, `page` the
page and the cover, `description` the specification. `reading` opens a package of
anybody, `importing` makes a model of one that fits. The package ``bioimageio.spec``,
which knows the specification, is an extra (`library`).
"""
