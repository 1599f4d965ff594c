#include "tests/support/sha256.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>

namespace hrm {
namespace {

bool is_prime(int n) {
  for (int d = 2; d * d <= n; ++d)
    if (n % d == 0) return false;
  return true;
}

// The first 32 bits of the fractional part of a root of a prime.
uint32_t fraction(long double root) {
  return static_cast<uint32_t>((root - std::floor(root)) * 4294967296.0L);
}

struct Constants {
  std::array<uint32_t, 64> k;  // of cube roots of the first 64 primes
  std::array<uint32_t, 8> h;   // of square roots of the first 8
  Constants() {
    int i = 0;
    for (int n = 2; i < 64; ++n) {
      if (!is_prime(n)) continue;
      k[i] = fraction(std::cbrt(static_cast<long double>(n)));
      if (i < 8) h[i] = fraction(std::sqrt(static_cast<long double>(n)));
      ++i;
    }
  }
};

void compress(std::array<uint32_t, 8>& h, const uint8_t* block, const Constants& c) {
  std::array<uint32_t, 64> w;
  for (int i = 0; i < 16; ++i)
    w[i] = uint32_t{block[4 * i]} << 24 | uint32_t{block[4 * i + 1]} << 16 |
           uint32_t{block[4 * i + 2]} << 8 | block[4 * i + 3];
  for (int i = 16; i < 64; ++i) {
    const uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + w[i - 7] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ (a >> 3)) +
           (std::rotr(b, 17) ^ std::rotr(b, 19) ^ (b >> 10));
  }
  std::array<uint32_t, 8> s = h;
  for (int i = 0; i < 64; ++i) {
    const uint32_t e = s[4], a = s[0];
    const uint32_t t1 = s[7] + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                        ((e & s[5]) ^ (~e & s[6])) + c.k[i] + w[i];
    const uint32_t t2 = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) +
                        ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
    s = {t1 + t2, s[0], s[1], s[2], s[3] + t1, s[4], s[5], s[6]};
  }
  for (int i = 0; i < 8; ++i) h[i] += s[i];
}

}  // namespace

std::string sha256_hex(const std::string& bytes) {
  static const Constants constants;
  std::string padded = bytes + '\x80';
  while (padded.size() % 64 != 56) padded += '\0';
  for (int shift = 56; shift >= 0; shift -= 8)
    padded += static_cast<char>((uint64_t{bytes.size()} * 8) >> shift);
  std::array<uint32_t, 8> h = constants.h;
  for (size_t at = 0; at < padded.size(); at += 64)
    compress(h, reinterpret_cast<const uint8_t*>(padded.data()) + at, constants);
  std::string hex;
  for (const uint32_t word : h) {
    char text[9];
    std::snprintf(text, sizeof text, "%08x", word);
    hex += text;
  }
  return hex;
}

}  // namespace hrm
