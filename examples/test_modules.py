"""Tests of a module: one for each check, to be run by pytest."""

from slimhub.signatures import parametrize_with_checks

FEATURES = "build/modules/google/imagenet/inception_v1/feature_vector/3"


@parametrize_with_checks([FEATURES], like="google/imagenet/inception_v1/feature_vector/3")
def test_drop_in(check):
    check()
