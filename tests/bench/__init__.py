"""What `hfmirror` must reach, measured: ratios against named peers, taken in one run (Linux).

`python -m tests.bench` runs every case, `python -m tests.bench large small` only these; `--help` has
the rest. It serves from nginx, compares with `aria2c` and `hf` (huggingface_hub 2.4.0), and says what
it leaves out where one of them is not installed. Nothing fails because of a time: a figure is printed
beside its goal, and a reader decides.
"""
