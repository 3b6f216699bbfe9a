// The page at /: one file, nothing fetched but /api/v1. Its source is page.html.
#pragma once

namespace mead::web {

extern const char kPage[];

}  // namespace mead::web
