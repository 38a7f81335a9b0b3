"""What the files that come in could do when they are loaded: pickles are looked at, and made into safetensors."""
