"""What all tests have in common."""

from hypothesis import HealthCheck, settings

# How long an example takes says nothing on a busy machine; what must be fast has its own tests.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
