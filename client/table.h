// Text in aligned columns.
#pragma once

#include <string>
#include <vector>

#include "client/terminal.h"

namespace mead::client {

struct Cell {
  std::string text;
  Colour colour = Colour::kNone;

  Cell(std::string value, Colour c = Colour::kNone)  // NOLINT: cells are written as plain text
      : text(std::move(value)), colour(c) {}
  Cell(const char* value) : text(value) {}  // NOLINT
};

enum class Align { kLeft, kRight };

class Table {
 public:
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as columns. Control characters become spaces: a message from elsewhere
  // must not redraw the user's terminal.
  void Add(std::vector<Cell> row);
  size_t rows() const { return rows_.size(); }

  // One line per row, title first, without trailing blanks. max_width: cut lines there
  // (0: never).
  std::vector<std::string> Lines(const Terminal& terminal, int max_width = 0) const;
  void Print(const Terminal& terminal) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// Columns that a UTF-8 text takes, one per code point.
size_t DisplayWidth(const std::string& text);
// The text's first `width` columns.
std::string CutToWidth(const std::string& text, size_t width);

}  // namespace mead::client
