"""What a release needs besides its wheels: proofs, checks, notes and lists of parts. `./release.sh --help`."""
