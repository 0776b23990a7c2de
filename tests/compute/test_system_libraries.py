from cyrene_assets.compute.system_libraries import missing_line


def test_missing_line_of_a_known_library_names_debians_package() -> None:
    line = missing_line("libnuma.so.1", "vllm/_C.abi3.so")
    assert line.startswith("this system has no libnuma.so.1, which vllm/_C.abi3.so needs: ")
    assert line.endswith("(Debian, Ubuntu: `apt install libnuma1`)")
    assert "\n" not in line


def test_missing_line_of_an_unknown_library_says_how_its_package_is_found() -> None:
    line = missing_line("libodd.so.7", "odd/_odd.abi3.so")
    assert line.endswith("(Debian, Ubuntu: `apt-file search libodd.so.7` names it)")
