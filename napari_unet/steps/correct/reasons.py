"""Why what step 2 of the dock offers cannot be used."""

NO_IMAGE = "No image is open: open one first."
NO_MASK = "There is no mask yet: predict it, or start with an empty one."
NOTHING_TOUCHED = "Nothing is touched yet: paint, or accept what is on screen."
NO_CLASSES = "The chosen model has no classes: choose another one in step 1."
