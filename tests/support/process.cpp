#include "support/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

extern char** environ;  // NOLINT: POSIX declares it nowhere

namespace sluice::test {
namespace {

std::vector<char*> arguments(const std::vector<std::string>& command) {
  std::vector<char*> out;
  for (const auto& word : command) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

pid_t spawn(const std::vector<std::string>& command, int in, int out, int err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, err, 2);
  pid_t pid = -1;
  const int code = ::posix_spawnp(&pid, command[0].c_str(), &actions, nullptr, arguments(command).data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (code != 0) throw std::runtime_error("could not start " + command[0]);
  return pid;
}

struct Pipe {
  int ends[2] = {-1, -1};
  Pipe() {
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  }
  ~Pipe() {
    close(0);
    close(1);
  }
  void close(int which) {
    if (ends[which] >= 0) ::close(ends[which]);
    ends[which] = -1;
  }
};

}  // namespace

TempDir::TempDir() {
  std::string name = (std::filesystem::temp_directory_path() / "sluice-test-XXXXXX").string();
  if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write_file(const std::filesystem::path& file, const std::string& content) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << content;
}

std::string read_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string run(const std::vector<std::string>& command, const std::string& input) {
  Pipe in;
  Pipe out;
  const pid_t pid = spawn(command, in.ends[0], out.ends[1], out.ends[1]);
  in.close(0);
  out.close(1);
  std::thread feeder([&] {
    std::size_t sent = 0;
    while (sent < input.size()) {
      const auto count = ::write(in.ends[1], input.data() + sent, input.size() - sent);
      if (count <= 0) break;
      sent += static_cast<std::size_t>(count);
    }
    in.close(1);
  });
  std::string text;
  char buffer[4096];
  for (ssize_t count = 0; (count = ::read(out.ends[0], buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(count));
  }
  feeder.join();
  int status = 0;
  ::waitpid(pid, &status, 0);
  while (text.ends_with('\n')) text.pop_back();
  if (status != 0) throw std::runtime_error(command[0] + " " + (command.size() > 1 ? command[1] : "") + ": " + text);
  return text;
}

Server::Server(const std::vector<std::string>& command) {
  Pipe out;
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  pid_ = spawn(command, null, out.ends[1], 2);
  ::close(null);
  out.close(1);
  for (char c = 0; ::read(out.ends[0], &c, 1) == 1 && c != '\n';) first_line_ += c;
  std::swap(output_, out.ends[0]);  // kept open, as the server may write more
}

Server::~Server() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  ::close(output_);
}

pid_t spawn_on(int fd, const std::vector<std::string>& command, const std::filesystem::path& log) {
  const int err = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const pid_t pid = spawn(command, fd, fd, err);
  ::close(err);
  return pid;
}

}  // namespace sluice::test
