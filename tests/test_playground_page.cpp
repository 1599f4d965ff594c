#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "hrm/support/json.h"
#include "hrm/support/local_server.h"
#include "hrm/view/playground_page.h"
#include "tests/support/support.h"

namespace hrm::test {
namespace {

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

const std::string kPage =
    "<p></p><script type=\"application/json\" id=\"models\">[{\"name\": \"own\"}]</script>";

// A connection to a server of this process.
int connected(int port) {
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  REQUIRE(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return client;
}

// What it answers to `request`, up to the end.
std::string asked(int port, const std::string& request) {
  const int client = connected(port);
  ::send(client, request.data(), request.size(), MSG_NOSIGNAL);
  std::string all;
  char part[65536];
  for (ssize_t got; (got = ::recv(client, part, sizeof part, 0)) > 0;)
    all.append(part, static_cast<size_t>(got));
  ::close(client);
  return all;
}

}  // namespace

TEST_CASE("playground: base64 of RFC 4648") {
  const char* pairs[][2] = {{"", ""},
                            {"f", "Zg=="},
                            {"fo", "Zm8="},
                            {"foo", "Zm9v"},
                            {"foob", "Zm9vYg=="},
                            {"fooba", "Zm9vYmE="},
                            {"foobar", "Zm9vYmFy"},
                            {"\xff\xfe\xfd", "//79"}};
  for (const auto& [plain, text] : pairs) CHECK(base64(bytes_of(plain)) == text);
}

TEST_CASE("playground: a model stands before those of the page, whatever it is called") {
  const std::string label = "</script><!-- \"runs\\x\"";
  const std::string page = with_model(kPage, "p.html", {label, bytes_of("foob"), {"41.."}});
  const size_t begin = page.find('['), end = page.find("</script>");
  REQUIRE(end == page.rfind("</script>"));
  const Json models = Json::parse(page.substr(begin, end - begin));
  REQUIRE(models.size() == 2);
  CHECK(models[0].at("label") == label);
  CHECK(models[0].at("weights") == "Zm9vYg==");
  CHECK(models[0].at("puzzles") == Json::array({"41.."}));
  CHECK(models[1].at("name") == "own");

  const std::string empty = "<script type=\"application/json\" id=\"models\">[]</script>";
  const std::string alone = with_model(empty, "p.html", {"x", bytes_of("foo"), {}});
  CHECK(Json::parse(alone.substr(alone.find('['), 1 + alone.rfind(']') - alone.find('['))).size() ==
        1);
  CHECK_THROWS_WITH_AS(with_model(page, "p.html", {"y", bytes_of("foo"), {}}),
                       doctest::Contains("p.html has a run in it already"), Error);
  CHECK_THROWS_WITH_AS(with_model("<html></html>", "p.html", {}),
                       doctest::Contains("p.html is no page of `make playground`"), Error);
}

TEST_CASE("playground: a server for this machine alone") {
  const std::string page(3'000'000, 'x');  // more than fits into the buffers of a connection
  const LocalServer server(0);
  CHECK(server.address() == "http://127.0.0.1:" + std::to_string(server.port()) + "/");
  std::atomic<bool> ended = false;
  std::thread serving([&] { server.serve(page, [&] { return ended.load(); }); });
  const auto ask = [&](const std::string& line, const std::string& headers) {
    return asked(server.port(), line + "\r\n" + headers + "\r\n");
  };
  // A client that says nothing keeps nobody waiting.
  const int silent = connected(server.port());
  ::send(silent, "GET / HT", 8, MSG_NOSIGNAL);

  const std::string whole = ask("GET / HTTP/1.1", "Host: localhost:9\r\n");
  CHECK(whole.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(whole.ends_with("\r\n\r\n" + page));
  CHECK(ask("GET /?a=b HTTP/1.1", "hOST:127.0.0.1\r\n").ends_with(page));
  const std::string head = ask("HEAD / HTTP/1.1", "Host: 127.0.0.1\r\n");
  CHECK(head.find("Content-Length: 3000000\r\n") != std::string::npos);
  CHECK(head.ends_with("\r\n\r\n"));
  const auto refused = [&](const std::string& line, const std::string& headers,
                           const char* status) {
    const std::string said = ask(line, headers);
    CHECK(said.starts_with(std::string("HTTP/1.1 ") + status));
    CHECK(said.ends_with("Connection: close\r\n\r\n"));
  };
  refused("GET / HTTP/1.1", "Host: evil.example\r\n", "421");
  refused("GET / HTTP/1.1", "Host: 127.0.0.1.evil.example\r\n", "421");
  refused("GET / HTTP/1.1", "X-Host: localhost\r\n", "421");
  refused("GET /../etc/passwd HTTP/1.1", "Host: localhost\r\n", "404");
  refused("POST / HTTP/1.1", "Host: localhost\r\n", "405");
  refused("", "Host: localhost\r\n", "405");
  refused("GET / HTTP/1.1", "X: " + std::string(20000, 'y'), "431");
  CHECK_THROWS_WITH_AS(LocalServer(server.port()), doctest::Contains("cannot listen on port"),
                       Error);
  ended = true;
  serving.join();
  ::close(silent);
}

}  // namespace hrm::test
