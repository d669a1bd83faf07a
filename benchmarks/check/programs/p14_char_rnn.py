import torch
from torch import nn
import string, random, time

all_characters = string.printable
n_characters = len(all_characters)
file = open(__file__).read()
file_len = len(file)
torch.manual_seed(1); random.seed(1)

chunk_len, batch_size = 40, 8

class CharRNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size, n_layers=1):
        super(CharRNN, self).__init__()
        self.hidden_size = hidden_size
        self.n_layers = n_layers
        self.encoder = nn.Embedding(input_size, hidden_size)
        self.rnn = nn.GRU(hidden_size, hidden_size, n_layers, batch_first=True)
        self.decoder = nn.Linear(hidden_size, output_size)

    def forward(self, input, hidden):
        emb = self.encoder(input)
        output, hidden = self.rnn(emb, hidden)
        return self.decoder(output), hidden

    def init_hidden(self, bs):
        return torch.zeros(self.n_layers, bs, self.hidden_size)

def char_tensor(s):
    return torch.tensor([all_characters.index(c) for c in s if c in all_characters])

def random_training_set():
    inp = torch.zeros(batch_size, chunk_len, dtype=torch.long)
    target = torch.zeros(batch_size, chunk_len, dtype=torch.long)
    for bi in range(batch_size):
        start_index = random.randint(0, file_len - chunk_len - 2)
        chunk = file[start_index:start_index + chunk_len + 1]
        inp[bi] = char_tensor(chunk[:-1])
        target[bi] = char_tensor(chunk[1:])
    return inp, target

decoder = CharRNN(n_characters, 48, n_characters, n_layers=2)
decoder_optimizer = torch.optim.Adam(decoder.parameters(), lr=0.005)
criterion = nn.CrossEntropyLoss()

def train(inp, target):
    hidden = decoder.init_hidden(batch_size)
    decoder.zero_grad()
    output, hidden = decoder(inp, hidden)
    loss = criterion(output.reshape(-1, n_characters), target.reshape(-1))
    loss.backward()
    decoder_optimizer.step()
    return loss.item()

n_epochs, print_every = 60, 20
start = time.time()
all_losses, loss_avg = [], 0
for epoch in range(1, n_epochs + 1):
    loss = train(*random_training_set())
    loss_avg += loss
    if epoch % print_every == 0:
        print('[%ds (%d %d%%) %.4f]' % (time.time() - start, epoch, epoch / n_epochs * 100, loss))
