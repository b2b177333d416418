"""What all tests share: the profiles of Hypothesis."""

import os

from hypothesis import settings

# HYPOTHESIS_PROFILE=deep looks for longer. Time limits per example would fail on a busy machine.
settings.register_profile("fast", max_examples=100, deadline=None)
settings.register_profile("deep", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
