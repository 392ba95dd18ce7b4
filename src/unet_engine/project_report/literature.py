"""What a methods paragraph cites, numbered in the order of their use."""

from __future__ import annotations

LITERATURE = {
    "tool": "napari-unet-finetune contributors. napari-unet-finetune {version}. "
    "Software.",
    "unet": "O. Ronneberger, P. Fischer, T. Brox. U-Net: Convolutional Networks for "
    "Biomedical Image Segmentation. MICCAI 2015. doi:10.1007/978-3-319-24574-4_28",
    "unet3d": "Ö. Çiçek, A. Abdulkadir, S. S. Lienkamp, T. Brox, O. Ronneberger. 3D "
    "U-Net: Learning Dense Volumetric Segmentation from Sparse Annotation. MICCAI "
    "2016. doi:10.1007/978-3-319-46723-8_49",
    "fine-tuning": "T. Falk et al. U-Net: deep learning for cell counting, detection, "
    "and morphometry. Nature Methods 16, 2019. doi:10.1038/s41592-018-0261-2",
    "fcn": "J. Long, E. Shelhamer, T. Darrell. Fully Convolutional Networks for "
    "Semantic Segmentation. CVPR 2015. doi:10.1109/CVPR.2015.7298965",
    "autoencoder": "P. Vincent, H. Larochelle, Y. Bengio, P.-A. Manzagol. Extracting "
    "and Composing Robust Features with Denoising Autoencoders. ICML 2008. "
    "doi:10.1145/1390156.1390294",
    "ilastik": "S. Berg et al. ilastik: interactive machine learning for (bio)image "
    "analysis. Nature Methods 16, 2019. doi:10.1038/s41592-019-0582-9",
    "scikit-learn": "F. Pedregosa et al. Scikit-learn: Machine Learning in Python. "
    "JMLR 12, 2011.",
    "torch": "A. Paszke et al. PyTorch: An Imperative Style, High-Performance Deep "
    "Learning Library. NeurIPS 2019. arXiv:1912.01703",
    "adamw": "I. Loshchilov, F. Hutter. Decoupled Weight Decay Regularization. ICLR "
    "2019. arXiv:1711.05101",
    "mean-teacher": "A. Tarvainen, H. Valpola. Mean teachers are better role models. "
    "NeurIPS 2017. arXiv:1703.01780",
}
"""Texts by a short name; the version is that of the training."""


class Citations:
    """The works that a text cites.

    Parameters
    ----------
    version
        Of this program, with which the model was trained; empty if not recorded.
    """

    def __init__(self, version: str) -> None:
        self._version = version
        self._used: list[str] = []

    def cite(self, *names: str) -> str:
        """Return the marks of works, such as ``[1, 2]``.

        Parameters
        ----------
        *names
            Keys of ``LITERATURE``.
        """
        for name in names:
            if name not in self._used:
                self._used.append(name)
        numbers = (str(self._used.index(name) + 1) for name in names)
        return f"[{', '.join(numbers)}]"

    def works(self) -> tuple[str, ...]:
        """Return what was cited, in the order of the numbers."""
        texts = (LITERATURE[name].format(version=self._version) for name in self._used)
        return tuple(" ".join(text.replace(" .", ".").split()) for text in texts)
