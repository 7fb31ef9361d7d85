"""HTDemucs: hybrid transformers over a spectrogram and a waveform."""
