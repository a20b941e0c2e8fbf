# SPDX-License-Identifier: MIT
"""The parts of tests/vm/run; see tests/vm/README.md for the picture of the whole."""
