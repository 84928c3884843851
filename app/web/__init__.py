"""The parts of HTTP that the API and the pages share: request scope, access, forwarding, errors, caches."""
