// One page for the browsers of this machine.
//
//     LocalServer server(0);   // any free port
//     show(server.address());
//     const StopSignals signals;   // hrm/support/stop_signals.h
//     server.serve(page, [] { return StopSignals::count() > 0; });
#pragma once

#include <functional>
#include <string>

namespace hrm {

// Listens on 127.0.0.1 alone, so no other machine can reach it, and answers only who asks for this
// machine by its name: a page of the web that has its own name lead here is refused. It knows one
// document, keeps nothing, and takes no input but the first line and the Host of a request.
class LocalServer {
 public:
  // port: 1 to 65535, 0 for any free one. An Error if it is taken.
  explicit LocalServer(int port);
  ~LocalServer();
  LocalServer(const LocalServer&) = delete;
  LocalServer& operator=(const LocalServer&) = delete;

  int port() const { return port_; }
  std::string address() const;  // "http://127.0.0.1:8080/"

  // Gives `page`, HTML, to who asks for it, until `ended` is true, which is asked a few times a
  // second. A client that is silent for 20 seconds is left.
  void serve(const std::string& page, const std::function<bool()>& ended) const;

 private:
  int socket_ = -1, port_ = 0;
};

}  // namespace hrm
