"""Models as packages of bioimage.io, for other programs and from them.

`export` writes a package: `network` is what is exported, `tensors` the example that
every program can compare itself with, `weights` the files of the network, `page` the
page and the cover, `description` the specification. `reading` opens a package of
anybody, `importing` makes a model of it: of one of our networks a model as any other,
of all others one for prediction (`prediction_only`, with `tensor_axes`, `processing`
and `torchscript`). The package ``bioimageio.spec``,
which knows the specification, is an extra (`library`).
"""
