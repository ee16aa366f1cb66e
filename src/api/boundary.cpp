#include "api/boundary.h"

#include <c10/util/Exception.h>

#include <filesystem>
#include <new>
#include <string>

#include "base/available_memory.h"
#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

// Names of files and classes may hold line breaks and what controls a terminal.
std::string one_line(std::string_view text) { return printable(text, std::string_view::npos); }

std::string first_line(std::string_view text) { return printable(text.substr(0, text.find('\n')), 400); }

[[noreturn]] void fail_without_memory(std::string_view doing, std::uint64_t wanted) {
  fail(doing, ": got not enough memory", wanted > 0 ? cat(" for another ", human_bytes(wanted)) : "",
       ", expected more. Use a smaller batch_size, fewer or smaller images, or cache_gib=0.");
}

}  // namespace

[[noreturn]] void rethrow_as_error(std::string_view doing) {
  try {
    throw;
  } catch (const CallbackException& error) {
    std::rethrow_exception(error.thrown);
  } catch (const UsageError& error) {
    if (const std::string line = one_line(error.what()); line != error.what()) throw UsageError(line);
    throw;
  } catch (const Error& error) {
    if (const std::string line = one_line(error.what()); line != error.what()) throw Error(line);
    throw;
  } catch (const c10::OutOfMemoryError&) {
    fail_without_memory(doing, 0);
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    if (const auto wanted = failed_allocation(message)) fail_without_memory(doing, *wanted);
    fail(doing, ": internal error, please report it: ", first_line(message));
  } catch (const std::filesystem::filesystem_error& error) {
    fail(error.path1().empty() ? std::string(doing) : printable(error.path1().string()),
         ": cannot be used: ", error.code().message(), ".");
  } catch (const std::bad_alloc&) {
    fail_without_memory(doing, 0);
  } catch (const std::exception& error) {
    fail(doing, ": internal error, please report it: ", first_line(error.what()));
  } catch (...) {
    fail(doing, ": internal error, please report it: an exception of an unknown type.");
  }
}

}  // namespace lorikeet
