#include "client/completion.h"

#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace mead::client {
namespace {

struct Node {
  std::string path;  // "dataset add"; empty for the root
  std::vector<std::string> options;
  // Name and description.
  std::vector<std::pair<std::string, std::string>> children;
};

void Collect(const CLI::App& app, const std::string& path, std::vector<Node>* nodes) {
  Node node;
  node.path = path;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_snames()) node.options.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) node.options.push_back("--" + name);
  }
  for (const CLI::App* child : app.get_subcommands({})) {
    node.children.emplace_back(child->get_name(), child->get_description());
  }
  nodes->push_back(node);
  for (const CLI::App* child : app.get_subcommands({})) {
    Collect(*child, path.empty() ? child->get_name() : absl::StrCat(path, " ", child->get_name()),
            nodes);
  }
}

// What a command's argument names, as a command that lists it.
const std::map<std::string, std::string>& Sources() {
  static const auto& kSources =
      *new std::map<std::string, std::string>{{"describe", "list"},
                                              {"watch", "list"},
                                              {"stop", "list"},
                                              {"logs", "list"},
                                              {"metrics", "list"},
                                              {"confusion", "list"},
                                              {"dataset describe", "dataset list"},
                                              {"dataset verify", "dataset list"},
                                              {"dataset remove", "dataset list"},
                                              {"nodes describe", "nodes list"},
                                              {"context use", "context list"},
                                              {"context remove", "context list"}};
  return kSources;
}

std::string Bash(const std::vector<Node>& nodes) {
  std::string cases;
  for (const Node& node : nodes) {
    std::vector<std::string> words = node.options;
    for (const auto& [name, description] : node.children) words.push_back(name);
    const auto source = Sources().find(node.path);
    absl::StrAppend(&cases, "    \"", node.path, "\") words=\"", absl::StrJoin(words, " "), "\"");
    if (source != Sources().end()) {
      absl::StrAppend(&cases, "; [[ $current == -* ]] || words=\"$(mead ", source->second,
                      " -o name 2>/dev/null)\"");
    }
    absl::StrAppend(&cases, " ;;\n");
  }
  return absl::StrCat(
      "# mead completion; in bash: source <(mead completion bash)\n"
      "_mead() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" path=\"\" words=\"\" word\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    case \"${path:+$path }$word\" in\n      ",
      absl::StrJoin(
          nodes, "|",
          [](std::string* out, const Node& node) { absl::StrAppend(out, "\"", node.path, "\""); }),
      ") path=\"${path:+$path }$word\" ;;\n"
      "    esac\n"
      "  done\n"
      "  if [[ \"${COMP_WORDS[COMP_CWORD-1]}\" == -o ]]; then\n"
      "    COMPREPLY=($(compgen -W \"table json yaml name\" -- \"$current\")); return\n"
      "  fi\n"
      "  case \"$path\" in\n",
      cases,
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "}\n"
      "complete -o default -F _mead mead\n");
}

std::string Fish(const std::vector<Node>& nodes) {
  std::string text = "# mead completion; in fish: mead completion fish | source\n";
  for (const Node& node : nodes) {
    std::string condition = "__fish_use_subcommand";
    if (!node.path.empty()) {
      condition = absl::StrCat(
          "__fish_seen_subcommand_from ",
          absl::StrReplaceAll(node.path, {{" ", "; and __fish_seen_subcommand_from "}}));
    }
    for (const auto& [name, description] : node.children) {
      absl::StrAppend(&text, "complete -c mead -f -n '", condition, "' -a ", name, " -d '",
                      absl::StrReplaceAll(description, {{"'", "\\'"}}), "'\n");
    }
    for (const std::string& option : node.options) {
      const bool is_long = option.rfind("--", 0) == 0;
      absl::StrAppend(&text, "complete -c mead -n '", condition, "' ", is_long ? "-l " : "-s ",
                      option.substr(is_long ? 2 : 1), "\n");
    }
    const auto source = Sources().find(node.path);
    if (source != Sources().end()) {
      absl::StrAppend(&text, "complete -c mead -f -n '", condition, "' -a '(mead ", source->second,
                      " -o name 2>/dev/null)'\n");
    }
  }
  return text;
}

}  // namespace

std::string CompletionScript(const CLI::App& app, const std::string& shell) {
  std::vector<Node> nodes;
  Collect(app, "", &nodes);
  if (shell == "fish") return Fish(nodes);
  if (shell == "zsh") {
    return "# mead completion; in zsh: source <(mead completion zsh)\n"
           "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n" +
           Bash(nodes);
  }
  return Bash(nodes);
}

}  // namespace mead::client
