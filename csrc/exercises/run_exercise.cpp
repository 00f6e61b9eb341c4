// Runs an exercise's `run` on numbers from a file:   program X Y ROWS COLUMNS   reads X, float32, and writes Y, as many.
// y begins as NaN, so that what nobody writes is seen. Emulated, the accesses are checked and counted (ladder/run.h).
#include "ladder/run.h"

void run(const float* x, float* y, int rows, int columns);  // of the exercise

int main(int count, char** arguments) {
    return guarded([&] {
        if (count != 5) throw std::runtime_error("wanted: X Y ROWS COLUMNS");
        const int rows = std::atoi(arguments[3]), columns = std::atoi(arguments[4]);
        std::vector<float> given(size_t(rows) * size_t(columns));
        std::FILE* from = std::fopen(arguments[1], "rb");
        if (!from || std::fread(given.data(), sizeof(float), given.size(), from) != given.size()) throw std::runtime_error("X is too short");
        std::fclose(from);
        Numbers x(given.size(), [&](size_t i) { return given[i]; }), y(given.size(), [](size_t) { return NAN; });
        measure("exercise", [&] { run(x.data, y.data, rows, columns); });
        std::FILE* to = std::fopen(arguments[2], "wb");
        if (!to || std::fwrite(y.data, sizeof(float), y.size, to) != y.size) throw std::runtime_error("Y can't be written");
        std::fclose(to);
        return 0;
    });
}
