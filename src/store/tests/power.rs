//! C-32: a power cut keeps of each file what its last sync covered, plus any of the 4 KiB blocks written since.
