// Child processes and temporary folders for tests. Nothing outlives its object.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace sluice::test {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

void write_file(const std::filesystem::path& file, const std::string& content);
std::string read_file(const std::filesystem::path& file);

// Runs a command to its end, feeding `input`; returns what it wrote to stdout
// and stderr, without trailing line ends. Fails the test if it exits non-zero.
std::string run(const std::vector<std::string>& command, const std::string& input = {});

// A server process: started, asked for its first line of output, and killed
// with the object.
class Server {
 public:
  explicit Server(const std::vector<std::string>& command);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  const std::string& first_line() const { return first_line_; }

 private:
  pid_t pid_ = -1;
  int output_ = -1;
  std::string first_line_;
};

// Starts `command` with stdin and stdout on `fd`, stderr to `log`.
pid_t spawn_on(int fd, const std::vector<std::string>& command, const std::filesystem::path& log);

}  // namespace sluice::test
