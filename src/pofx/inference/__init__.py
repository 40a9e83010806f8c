"""What is done with a trained model beside measuring it: sampling, walks through codes, forecasts."""
