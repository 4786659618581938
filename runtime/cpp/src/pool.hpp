/// Object pool: lends objects that one call at a time may use to any number of threads.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace kexport {

/// Lends an item to each caller, and makes a new one only if all are lent. Once there are as many
/// items as threads, lending does not allocate.
template <class Item>
class Pool {
  public:
    class Loan {
      public:
        Loan(Pool& pool, std::unique_ptr<Item> item) : pool_(pool), item_(std::move(item)) {}
        Loan(const Loan&) = delete;
        Loan& operator=(const Loan&) = delete;
        ~Loan() { pool_.take_back(std::move(item_)); }
        Item* operator->() const noexcept { return item_.get(); }

      private:
        Pool& pool_;
        std::unique_ptr<Item> item_;
    };

    template <class Make>
    Loan lend(const Make& make) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (!free_.empty()) {
                std::unique_ptr<Item> item = std::move(free_.back());
                free_.pop_back();
                return {*this, std::move(item)};
            }
            free_.reserve(++made_);  // so that taking back cannot fail
        }
        return {*this, std::make_unique<Item>(make())};
    }

  private:
    void take_back(std::unique_ptr<Item> item) noexcept {
        const std::lock_guard<std::mutex> lock(mutex_);
        free_.push_back(std::move(item));
    }

    std::mutex mutex_;
    std::vector<std::unique_ptr<Item>> free_;
    std::size_t made_ = 0;
};

}  // namespace kexport
