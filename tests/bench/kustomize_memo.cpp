// CPU time of builds with a BuildCache: a tree of N apps under one overlay,
// built anew, built again unchanged, and built again with one app changed.
//
// usage: kustomize_memo_bench [APPS] [--only cold|same|leaf]
//
// --only does 20 builds of that kind (after those that it needs) and prints
// nothing, for a profiler.
#include <ctime>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "base/file_view.hpp"
#include "kustomize/kustomize.hpp"

using namespace sluice;

namespace {

using Files = std::map<std::string, std::string, std::less<>>;

// The app of kustomize.py, next door.
std::string app(const std::string& name, const std::string& image) {
  return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name +
         "}\nspec:\n  replicas: 2\n  selector: {matchLabels: {app: " + name + "}}\n  template:\n    metadata: {labels: {app: " +
         name + "}}\n    spec:\n      serviceAccountName: " + name +
         "\n      containers:\n      - name: main\n        image: registry.example/app:" + image +
         "\n        ports: [{containerPort: 8080}]\n        envFrom: [{configMapRef: {name: " + name +
         "-config}}]\n---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec:\n  selector: {app: " + name +
         "}\n  ports: [{port: 80, targetPort: 8080}]\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: " + name +
         "}\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: " + name +
         "}\nspec:\n  rules:\n  - host: " + name +
         ".example\n    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: " + name +
         ", port: {number: 80}}}}]}\n";
}

Files fleet(int apps) {
  Files files;
  std::string top = "namespace: fleet\ncommonLabels: {fleet: f}\nresources:\n";
  for (int i = 0; i < apps; ++i) {
    const std::string name = "app-" + std::to_string(i);
    top += "- ../" + name + "\n";
    files[name + "/app.yaml"] = app(name, "1");
    files[name + "/kustomization.yaml"] = "resources: [app.yaml]\nconfigMapGenerator:\n- name: " + name +
                                          "-config\n  literals: [id=" + std::to_string(i) + "]\n";
  }
  files["top/kustomization.yaml"] = top;
  return files;
}

double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// CPU seconds of one build.
double build(const base::FileView& view, kustomize::BuildCache* cache) {
  kustomize::BuildOptions options;
  options.cache = cache;
  const double start = cpu_seconds();
  const auto result = kustomize::build(view, "top", options);
  const double took = cpu_seconds() - start;
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().message.c_str());
    std::exit(1);
  }
  return took;
}

}  // namespace

int main(int argc, char** argv) {
  const int apps = argc > 1 ? std::max(std::atoi(argv[1]), 1) : 1000;
  const std::string only = argc > 3 ? argv[3] : "";
  Files files = fleet(apps);
  const auto before = base::make_memory_view(files);
  files["app-0/app.yaml"] = app("app-0", "2");
  const auto after = base::make_memory_view(files);
  kustomize::BuildCache cache(std::size_t{1} << 30U);
  if (!only.empty()) {
    if (only != "cold") (void)build(*before, &cache);
    for (int run = 0; run < 20; ++run) {
      (void)build(only == "leaf" && run % 2 == 0 ? *after : *before, only == "cold" ? nullptr : &cache);
    }
    return 0;
  }
  double cold = 1e9, filling = 1e9, same = 1e9, leaf = 1e9;
  for (int run = 0; run < 5; ++run) {
    kustomize::BuildCache fresh(std::size_t{1} << 30U);
    cold = std::min(cold, build(*before, nullptr));
    filling = std::min(filling, build(*before, &fresh));
    same = std::min(same, build(*before, &fresh));
    leaf = std::min(leaf, build(*after, &fresh));
  }
  std::printf("%d apps: %.1f ms without a cache, %.1f ms filling one, %.1f ms unchanged, %.1f ms with one app changed: %.1fx\n",
              apps, cold * 1e3, filling * 1e3, same * 1e3, leaf * 1e3, cold / leaf);
  return 0;
}
