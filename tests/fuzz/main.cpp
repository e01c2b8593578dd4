// Runs a fuzz target where there is no libFuzzer: on files that are given, and
// with --seconds N on changes to them, made at random from --seed. A crash
// leaves its input in the file named by --crash.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t bound) { return bound == 0 ? 0 : random() % bound; }

const std::vector<std::string>& words() {
  static const std::vector<std::string> all{
      "null", "[]", "{}", "- ", ": ", "\n", "  ", "$patch: delete", "$patch: replace", "metadata:", "name: a", "&a ", "*a",
      "<<: *a", "|\n", ">-\n", "'", "\"", "\\", "#", "---\n", "...\n", "? ", "!!int ", "!!binary ", "=== kustomization.yaml\n",
      "resources: [r.yaml]\n", "patches:\n", "op: add", "path: /a/-", "/-1", "~1", "999999999999", "-0", "0x", "1e999", ".inf",
      "kind: List\nitems:\n", "[=a]", "[a=b]", "*", "$(A)", "\xEF\xBB\xBF", "\xC3", "\xF0\x9F\x98\x80", "\t", "\r\n", "%YAML 1.1\n"};
  return all;
}

std::string mutate(const std::vector<std::string>& corpus, Random& random) {
  std::string text = corpus[below(random, corpus.size())];
  for (std::size_t i = 0, changes = 1 + below(random, 6); i < changes; ++i) {
    const std::size_t at = below(random, text.size() + 1);
    switch (below(random, 6)) {
      case 0: text.insert(at, words()[below(random, words().size())]); break;
      case 1: text.erase(at, 1 + below(random, 12)); break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(random());
        break;
      case 3: text.insert(at, text.substr(below(random, text.size() + 1), below(random, 60))); break;
      case 4: {
        const std::string& other = corpus[below(random, corpus.size())];
        text.replace(at, std::string::npos, other, std::min(below(random, other.size() + 1), other.size()), std::string::npos);
        break;
      }
      default: text.insert(at, std::string(1 + below(random, 40), at % 2 == 0 ? ' ' : '['));
    }
  }
  return text.substr(0, 20'000);
}

void run(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> corpus;
  long seconds = 0;
  std::uint64_t seed = 1;
  std::string crash;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--seconds" && i + 1 < argc) {
      seconds = std::stol(argv[++i]);
    } else if (argument == "--seed" && i + 1 < argc) {
      seed = std::stoull(argv[++i]);
    } else if (argument == "--crash" && i + 1 < argc) {
      crash = argv[++i];
    } else if (std::filesystem::is_directory(argument)) {
      for (const auto& entry : std::filesystem::directory_iterator(argument)) corpus.push_back(slurp(entry.path()));
    } else {
      corpus.push_back(slurp(argument));
    }
  }
  std::sort(corpus.begin(), corpus.end());
  for (const std::string& text : corpus) run(text);
  if (corpus.empty()) return 2;
  Random random(seed);
  std::size_t runs = 0, slowest = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (seconds > 0 && std::chrono::steady_clock::now() < end) {
    const std::string text = mutate(corpus, random);
    if (!crash.empty()) std::ofstream(crash, std::ios::binary) << text;
    const auto start = std::chrono::steady_clock::now();
    run(text);
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
    slowest = std::max(slowest, static_cast<std::size_t>(took.count()));
    ++runs;
  }
  std::printf("%zu files, %zu changed ones, the slowest %zu ms\n", corpus.size(), runs, slowest);
  return 0;
}
