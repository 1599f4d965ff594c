#include "hrm/support/local_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "kernels/types.h"

namespace hrm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostClients = 32;
constexpr size_t kMostRequest = 16384;  // bytes
constexpr std::chrono::seconds kPatience{20};
constexpr int kPollMilliseconds = 200;

struct Client {
  int socket;
  Clock::time_point heard;   // when bytes went the last time
  std::string request = {};  // as far as it has come
  std::string head = {};     // of the answer; empty until the request is whole
  std::string_view body = {};
  size_t sent = 0;    // of head and body
  bool told = false;  // all of it: what the client still says is read and forgotten, lest the end
                      // of the connection overtake the page
  bool done = false;

  bool listens() const { return head.empty() || told; }
};

std::string head_of(const char* status, size_t bytes) {
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n"
      "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
      status, bytes);
}

// The value of a header, without the spaces around it; empty if there is none.
std::string_view header_of(std::string_view request, std::string_view name) {
  for (size_t at = request.find("\r\n"); at != std::string_view::npos;
       at = request.find("\r\n", at + 2)) {
    std::string_view line = request.substr(at + 2);
    line = line.substr(0, line.find("\r\n"));
    if (line.size() <= name.size() || line[name.size()] != ':') continue;
    const bool same = std::equal(name.begin(), name.end(), line.begin(), [](char a, char b) {
      return std::tolower(static_cast<unsigned char>(a)) ==
             std::tolower(static_cast<unsigned char>(b));
    });
    if (!same) continue;
    line.remove_prefix(name.size() + 1);
    while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
    while (!line.empty() && line.back() == ' ') line.remove_suffix(1);
    return line;
  }
  return {};
}

// The port may be another one: that of a tunnel.
bool names_this_machine(std::string_view host) {
  const std::string_view name = host.substr(0, host.find(':'));
  return name == "127.0.0.1" || name == "localhost";
}

// What a whole request is answered.
void answer(Client& client, const std::string& page) {
  const std::string_view line =
      std::string_view(client.request).substr(0, client.request.find("\r\n"));
  const std::string_view method = line.substr(0, line.find(' '));
  std::string_view path = line.substr(std::min(line.size(), method.size() + 1));
  path = path.substr(0, path.find_first_of(" ?"));
  if (!names_this_machine(header_of(client.request, "Host"))) {
    client.head = head_of("421 Misdirected Request", 0);
  } else if (method != "GET" && method != "HEAD") {
    client.head = head_of("405 Method Not Allowed", 0);
  } else if (path != "/" && path != "/index.html") {
    client.head = head_of("404 Not Found", 0);
  } else {
    client.head = head_of("200 OK", page.size());
    if (method == "GET") client.body = page;
  }
}

void hear(Client& client, const std::string& page) {
  char bytes[4096];
  const ssize_t got = ::recv(client.socket, bytes, sizeof bytes, MSG_DONTWAIT);
  if (got <= 0) {
    client.done = got == 0 || (errno != EAGAIN && errno != EINTR);
    return;
  }
  if (client.told) return;
  client.heard = Clock::now();
  client.request.append(bytes, static_cast<size_t>(got));
  if (client.request.find("\r\n\r\n") != std::string::npos)
    answer(client, page);
  else if (client.request.size() > kMostRequest)
    client.head = head_of("431 Request Header Fields Too Large", 0);
}

void say(Client& client) {
  const bool in_head = client.sent < client.head.size();
  const std::string_view left = in_head ? std::string_view(client.head).substr(client.sent)
                                        : client.body.substr(client.sent - client.head.size());
  const ssize_t went = ::send(client.socket, left.data(), left.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (went < 0) {
    client.done = errno != EAGAIN && errno != EINTR;
    return;
  }
  client.heard = Clock::now();
  client.sent += static_cast<size_t>(went);
  if (client.sent < client.head.size() + client.body.size()) return;
  ::shutdown(client.socket, SHUT_WR);
  client.told = true;
}

}  // namespace

LocalServer::LocalServer(int port) {
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  HRM_CHECK(socket_ >= 0, "[server] no socket: ", std::strerror(errno));
  const int yes = 1;
  ::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(socket_, any, size) != 0 || ::listen(socket_, 16) != 0 ||
      ::getsockname(socket_, any, &size) != 0) {
    const int why = errno;
    ::close(socket_);
    detail::fail("[server] cannot listen on port ", port, " of 127.0.0.1: ", std::strerror(why),
                 ". HINT: another --port, or 0 for any free one");
  }
  port_ = ntohs(address.sin_port);
}

LocalServer::~LocalServer() { ::close(socket_); }

std::string LocalServer::address() const { return fmt::format("http://127.0.0.1:{}/", port_); }

void LocalServer::serve(const std::string& page, const std::function<bool()>& ended) const {
  std::vector<Client> clients;
  while (!ended()) {
    std::vector<pollfd> waiting = {
        {socket_, static_cast<short>(clients.size() < kMostClients ? POLLIN : 0), 0}};
    for (const Client& c : clients)
      waiting.push_back({c.socket, static_cast<short>(c.listens() ? POLLIN : POLLOUT), 0});
    if (::poll(waiting.data(), waiting.size(), kPollMilliseconds) < 0 && errno != EINTR)
      detail::fail("[server] cannot wait for clients: ", std::strerror(errno));
    for (size_t i = 0; i < clients.size(); ++i) {
      Client& client = clients[i];
      if (waiting[i + 1].revents != 0) client.listens() ? hear(client, page) : say(client);
      if (Clock::now() - client.heard > kPatience) client.done = true;
    }
    if (waiting[0].revents & POLLIN) {
      const int socket = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
      if (socket >= 0) clients.push_back({socket, Clock::now()});
    }
    std::erase_if(clients, [](const Client& client) {
      if (client.done) ::close(client.socket);
      return client.done;
    });
  }
  for (const Client& client : clients) ::close(client.socket);
}

}  // namespace hrm
