"""What a model is: its description, the table of networks, its weights, its file.

A ``ModelSpec`` (``spec``) names a row of the table ``architectures``, whose geometry,
the exact halo too, is in ``receptive_fields`` and ``fcn_trunks``; ``networks`` builds
it in torch; ``imported_network`` describes one that is not built but run as it came. A
spec with weights and history is a ``Checkpoint``, one file, to which
pixel classifiers may belong (``classifier_part``, in the file by ``classifier_file``);
``model_header`` reads what is known without tensors, ``store`` keeps the files by name,
``beside`` what lies beside them, ``lineage`` finds parents and children; what is done
with models in the store is in ``collection``.
``starting`` makes a new model from another, by the functions of ``weight_transfer`` and
the weights of ``imagenet``, and ``adaptation`` fits one to other classes or channels.
Only networks and starts need torch.
"""
