# So that plain `ctest` works here, after `cmake --preset release` and its build.
subdirs(build)
