def pytest_configure(config):
    config.addinivalue_line("markers", "checks(*ids): the exact check of these equations")
