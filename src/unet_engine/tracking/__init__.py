"""Objects of a time series: who is who, and files for tracking programs. No torch.

In go object ids with an axis of frames, of which parts of two are read at a time
(``linking``); out come ``Tracks``, with divisions and fusions. ``ctc`` and ``geff``
write them, as the Cell Tracking Challenge and the Graph Exchange File Format have it.
"""

from unet_engine.tracking.ctc import read_ctc, write_ctc
from unet_engine.tracking.geff import check_geff, write_geff
from unet_engine.tracking.linking import iter_link_frames, link_frames
from unet_engine.tracking.tracks import Tracks, track_labels

__all__ = [
    "Tracks",
    "check_geff",
    "iter_link_frames",
    "link_frames",
    "read_ctc",
    "track_labels",
    "write_ctc",
    "write_geff",
]
