// The unit test program: every tests/test_*.cpp, linked together. The grades of docs/course have
// the same main().
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
