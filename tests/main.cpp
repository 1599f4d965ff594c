// The unit test program: every tests/test_*.cpp, linked together.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
