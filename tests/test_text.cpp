// Text from strangers, as it is shown.
#include "hrm/support/text.h"
#include "tests/support/support.h"

namespace hrm {
namespace {

TEST_CASE("printable: what a terminal would obey is escaped, all else stays") {
  for (const char* text : {"", "plain text, 'quoted'", "Zürich", "日本語", "\xF0\x9F\x99\x82"})
    CHECK(printable(text) == text);
  CHECK(printable("a\x1b]0;owned\x07") == "a\\x1b]0;owned\\x07");
  CHECK(printable("two\nlines\t\x7f") == "two\\x0alines\\x09\\x7f");
  CHECK(printable(std::string_view("\0", 1)) == "\\x00");
  CHECK(printable("\xc2\x9b"
                  "2J") == "\\xc2\\x9b2J");  // the other way to write ESC [
  CHECK(printable("\xe2\x80\xae"
                  "gnp") == "\\xe2\\x80\\xaegnp");  // right to left
}

TEST_CASE("printable: bytes that are no UTF-8 are escaped one by one") {
  CHECK(printable("\xff") == "\\xff");
  CHECK(printable("\xc3") == "\\xc3");                             // cut off
  CHECK(printable("\xc3(") == "\\xc3(");                           // goes on wrongly
  CHECK(printable("\xc0\x9b") == "\\xc0\\x9b");                    // ESC, longer than it need be
  CHECK(printable("\xe0\x80\x9b") == "\\xe0\\x80\\x9b");           // the same in three bytes
  CHECK(printable("\xed\xa0\x80") == "\\xed\\xa0\\x80");           // half of a pair
  CHECK(printable("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");  // beyond Unicode
  CHECK(printable("\x9b") == "\\x9b");
}

TEST_CASE("errors: a hint goes to the end, a place in front of the hints") {
  CHECK(std::string(with_hint(Error("[a] b"), "c").what()) == "[a] b. HINT: c");
  CHECK(std::string(with_hint(Error("[a] b. HINT: d"), "c").what()) == "[a] b. HINT: d; c");
  CHECK(std::string(with_place(Error("[a] b. HINT: d"), "f").what()) == "[a] b, in f. HINT: d");
  CHECK(std::string(with_place(Error("[a] b"), "f").what()) == "[a] b, in f");
  CHECK(std::string(with_place(Error("[a] x of file"), "file").what()) == "[a] x of file");
}

TEST_CASE("text that is UTF-8, and text that is not") {
  for (const char* text : {"", "abc", "\xc3\xa4", "\xf0\x9f\x98\x80"}) CHECK(is_utf8(text));
  for (const char* text : {"\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80"}) CHECK_FALSE(is_utf8(text));
}

}  // namespace
}  // namespace hrm
