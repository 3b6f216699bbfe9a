#include "client/table.h"

#include <algorithm>

namespace mead::client {
namespace {

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace

size_t DisplayWidth(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !IsContinuation(c); }));
}

std::string CutToWidth(const std::string& text, size_t width) {
  if (DisplayWidth(text) <= width) return text;
  std::string result;
  size_t used = 0;
  for (const char c : text) {
    if (!IsContinuation(c) && used++ == width) break;
    result += c;
  }
  return result;
}

void Table::Add(std::vector<Cell> row) {
  row.resize(columns_.size(), Cell(""));
  for (Cell& cell : row) {
    for (char& c : cell.text) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    }
  }
  rows_.push_back(std::move(row));
}

std::vector<std::string> Table::Lines(const Terminal& terminal, int max_width) const {
  std::vector<size_t> widths;
  for (const Column& column : columns_) widths.push_back(DisplayWidth(column.title));
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], DisplayWidth(row[i].text));
    }
  }
  const auto line = [&](const std::vector<Cell>& row) {
    std::string result;
    size_t used = 0;
    size_t pending = 0;  // blanks, written only when a text follows
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) pending += 2;
      std::string text = row[i].text;
      const size_t padding = widths[i] - DisplayWidth(text);
      if (columns_[i].align == Align::kRight) pending += padding;
      if (!text.empty()) {
        if (max_width > 0) {
          const size_t room = static_cast<size_t>(max_width);
          if (used + pending >= room) break;
          text = CutToWidth(text, room - used - pending);
        }
        result.append(pending, ' ');
        used += pending + DisplayWidth(text);
        pending = 0;
        result += terminal.Paint(row[i].colour, text);
      }
      if (columns_[i].align == Align::kLeft) pending += padding;
    }
    return result;
  };
  std::vector<Cell> titles;
  for (const Column& column : columns_) titles.emplace_back(column.title, Colour::kBold);
  std::vector<std::string> lines = {line(titles)};
  for (const auto& row : rows_) lines.push_back(line(row));
  return lines;
}

void Table::Print(const Terminal& terminal) const {
  for (const std::string& line : Lines(terminal)) terminal.out << line << "\n";
}

}  // namespace mead::client
